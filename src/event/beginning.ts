/** Where a log of which nothing is here yet begins: with its last events, or with those since a time (ms since 1970). */
export type Beginning = { readonly last: number } | { readonly time: number }
