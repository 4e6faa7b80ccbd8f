declare module '@automerge/automerge-repo' {
  export interface DocHandle<T> {
    readonly url: string
    readonly documentId: string
    change(change: (doc: T) => void): void
    doc(): T
    on(event: 'change', listener: () => void): void
  }
  export class Repo {
    constructor(options: { storage?: unknown; network?: unknown[]; sharePolicy?: () => Promise<boolean> })
    create<T>(initial: T): DocHandle<T>
    find<T>(url: string): Promise<DocHandle<T>>
    flush(documents?: string[]): Promise<void>
    shutdown(): Promise<void>
  }
}

declare module '@automerge/automerge-repo-storage-nodefs' {
  export class NodeFSStorageAdapter {
    constructor(folder: string)
  }
}

declare module '@automerge/automerge-repo-network-websocket' {
  export class WebSocketClientAdapter {
    constructor(url: string)
  }
  export class WebSocketServerAdapter {
    constructor(server: unknown)
  }
}

declare module 'yjs' {
  export class Array<T> {
    readonly length: number
    push(items: T[]): void
  }
  export class Doc {
    getArray<T>(name: string): Array<T>
    on(event: 'update', listener: (update: Uint8Array) => void): void
    transact(work: () => void): void
  }
  export function encodeStateVector(doc: Doc): Uint8Array
  export function encodeStateAsUpdate(doc: Doc, stateVector?: Uint8Array): Uint8Array
  export function applyUpdate(doc: Doc, update: Uint8Array): void
}
