/** 32 bytes that the peers of one database meet on. */
export type Topic = Uint8Array
