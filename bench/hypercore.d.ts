declare module 'hypercore' {
  class Hypercore {
    constructor(storage: string, key?: Buffer | null)
    readonly key: Buffer
    readonly length: number
    ready(): Promise<void>
    append(blocks: Buffer | Buffer[]): Promise<unknown>
    get(index: number): Promise<unknown>
    download(range: { start: number; end: number; linear: boolean }): { done(): Promise<void> }
    replicate(stream: unknown): unknown
    close(): Promise<void>
  }
  export default Hypercore
}
