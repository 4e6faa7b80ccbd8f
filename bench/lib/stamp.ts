const STAMPED_BYTES = 200

/** A message that says when it was made, for this process. */
export function stamp(): Uint8Array {
  const message = Buffer.alloc(STAMPED_BYTES)
  message.writeDoubleBE(performance.now())
  return message
}

/** Milliseconds since this process made the message. */
export function sinceStamp(message: Uint8Array): number {
  return performance.now() - new DataView(message.buffer, message.byteOffset).getFloat64(0)
}
