import fs from 'node:fs'
import path from 'node:path'

/** One call to the operating system as `shim.c` records it. */
interface Call {
  kind: 'open' | 'write' | 'truncate' | 'sync' | 'rename' | 'unlink' | 'line' | 'start'
  handle: number
  offset: number
  bytes: Buffer
}

const KINDS = ['open', 'write', 'truncate', 'sync', 'rename', 'unlink', 'line', 'start'] as const
const SECTOR_BYTES = 512

function* parse(trace: Buffer): Generator<Call> {
  for (let at = 0; at < trace.length;) {
    const length = trace.readUInt32LE(at + 13)
    yield {
      kind: KINDS[(trace[at] as number) - 1] as Call['kind'],
      handle: trace.readUInt32LE(at + 1),
      offset: Number(trace.readBigUInt64LE(at + 5)),
      bytes: trace.subarray(at + 17, at + 17 + length),
    }
    at += 17 + length
  }
}

type Change = { offset: number; bytes: Buffer } | { length: number }

class Inode {
  /** What a power cut leaves in any case. */
  #synced: Buffer = Buffer.alloc(0)
  #changes: Change[] = []

  change(change: Change): void {
    this.#changes.push(change)
  }

  sync(): void {
    this.#synced = this.#after(this.#changes)
    this.#changes = []
  }

  /** What may be left: any of the changes since the last sync, of the last one any sectors. */
  left(keep: () => boolean, tear: () => boolean): Buffer {
    const kept = this.#changes.flatMap((change, i) => {
      if (!keep()) return []
      return i === this.#changes.length - 1 && 'bytes' in change ? sectors(change, tear) : [change]
    })
    return this.#after(kept)
  }

  #after(changes: readonly Change[]): Buffer {
    if (changes.length === 0) return this.#synced
    let size = this.#synced.length
    let most = size
    for (const change of changes) {
      size = 'length' in change ? change.length : Math.max(size, change.offset + change.bytes.length)
      most = Math.max(most, size)
    }
    const content = Buffer.alloc(most)
    this.#synced.copy(content)
    for (const change of changes) {
      if ('length' in change) content.fill(0, change.length)
      else change.bytes.copy(content, change.offset)
    }
    return content.subarray(0, size)
  }
}

function sectors({ offset, bytes }: { offset: number; bytes: Buffer }, tear: () => boolean): Change[] {
  if (!tear()) return [{ offset, bytes }]
  const parts: Change[] = []
  for (let from = 0; from < bytes.length;) {
    const to = Math.min(bytes.length, from + SECTOR_BYTES - ((offset + from) % SECTOR_BYTES))
    if (tear()) parts.push({ offset: offset + from, bytes: bytes.subarray(from, to) })
    from = to
  }
  return parts
}

type NameChange = { from: string | null; to: string | null; inode: Inode }

function applyName(names: Map<string, Inode>, { from, to, inode }: NameChange): void {
  if (from !== null && (to === null || names.get(from) === inode)) names.delete(from)
  if (to !== null) names.set(to, inode)
}

/**
 * A folder as the calls of a process have made it, and as a power cut may leave it: what has been synced is there, of
 * everything since then any part. That a file exists, is renamed or gone is sure only once its folder has been synced.
 */
export class DiskTrace {
  readonly #folder: string
  readonly #calls: readonly Call[]
  #next = 0
  #names = new Map<string, Inode>()
  #syncedNames = new Map<string, Inode>()
  #nameChanges: NameChange[] = []
  #handles = new Map<number, Inode | 'folder'>()
  /** Lines printed so far. */
  readonly lines: string[] = []
  /** By the end of the file's name: how often it was synced so far. */
  readonly syncs: Map<string, number> = new Map()
  readonly #paths = new Map<number, string>()

  constructor(folder: string, trace: string) {
    this.#folder = folder
    this.#calls = [...parse(fs.readFileSync(trace))]
  }

  get length(): number {
    return this.#calls.length
  }

  /** Numbers of the calls after which a line that begins so had been printed. */
  linesAt(beginning: string): number[] {
    return this.#calls.flatMap(({ kind, bytes }, i) =>
      kind === 'line' && bytes.toString().startsWith(beginning) ? [i + 1] : [],
    )
  }

  /** Goes on until so many calls have been made. */
  advance(calls: number): void {
    for (; this.#next < calls; this.#next++) this.#apply(this.#calls[this.#next] as Call)
  }

  #apply({ kind, handle, offset, bytes }: Call): void {
    const text = kind === 'write' ? '' : bytes.toString()
    const inode = this.#handles.get(handle)
    if (kind === 'start') this.#handles.clear()
    else if (kind === 'line') this.lines.push(...text.split('\n').slice(0, -1))
    else if (kind === 'open') this.#open(handle, text, offset === 1)
    else if (kind === 'rename') this.#rename(...(text.split('\0') as [string, string]))
    else if (kind === 'unlink') this.#unlink(text)
    else if (inode === undefined) throw new Error(`${kind} without a file`)
    else if (kind === 'sync') this.#sync(handle, inode)
    else if (inode === 'folder') throw new Error(`${kind} of a folder`)
    else if (kind === 'write') inode.change({ offset, bytes })
    else inode.change({ length: offset })
  }

  #open(handle: number, name: string, created: boolean): void {
    this.#paths.set(handle, name)
    if (name === this.#folder) {
      this.#handles.set(handle, 'folder')
      return
    }
    let inode = this.#names.get(name)
    if (created) {
      inode = new Inode()
      this.#changeName({ from: null, to: name, inode })
    }
    if (inode === undefined) throw new Error(`${name} was there before`)
    this.#handles.set(handle, inode)
  }

  #rename(from: string, to: string): void {
    this.#changeName({ from, to, inode: this.#names.get(from) as Inode })
  }

  #unlink(name: string): void {
    this.#changeName({ from: name, to: null, inode: this.#names.get(name) as Inode })
  }

  #changeName(change: NameChange): void {
    applyName(this.#names, change)
    this.#nameChanges.push(change)
  }

  #sync(handle: number, inode: Inode | 'folder'): void {
    const suffix = path.basename(this.#paths.get(handle) as string)
    this.syncs.set(suffix, (this.syncs.get(suffix) ?? 0) + 1)
    if (inode !== 'folder') {
      inode.sync()
      return
    }
    for (const change of this.#nameChanges) applyName(this.#syncedNames, change)
    this.#nameChanges = []
  }

  /** Writes what a power cut now may leave to another folder. */
  cut(into: string, random: () => number): void {
    const names = new Map(this.#syncedNames)
    const share = [0, 1, 0.5, 0.1, 0.9][Math.floor(random() * 5)] as number
    const keep = (): boolean => random() < share
    // File systems with a journal keep the order of names; nothing says that all do.
    const inOrder = random() < 0.5
    for (const change of this.#nameChanges) {
      if (keep()) applyName(names, change)
      else if (inOrder) break
    }
    for (const [name, inode] of names) {
      const content = inode.left(keep, () => random() < 0.5)
      fs.writeFileSync(path.join(into, path.relative(this.#folder, name)), content, { mode: 0o600 })
    }
  }
}
