// The entry point `peerlog/reconcile`.
export { ItemIndex } from './reconcile/item-index.ts'
export type { Item } from './reconcile/item-index.ts'
export type { ItemSource } from './reconcile/item-source.ts'
export { fingerprintOf } from './reconcile/id-sum.ts'
