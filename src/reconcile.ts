// The entry point `peerlog/reconcile`.
export { ItemIndex } from './reconcile/item-index.ts'
export type { Item } from './reconcile/item-index.ts'
export type { ItemSource } from './reconcile/item-source.ts'
export { fingerprintOf } from './reconcile/id-sum.ts'
export { RangeReconciler } from './reconcile/range/range-reconciler.ts'
export type { RangeFault, RangeStep, RangeViolation } from './reconcile/range/range-reconciler.ts'
export type { RangeOptions } from './reconcile/range/options.ts'
