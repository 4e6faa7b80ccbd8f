import fs from 'node:fs'
import path from 'node:path'
import { randomBytes } from 'node:crypto'
import * as v from 'valibot'
import { PeerlogError } from '../base/errors.ts'
import { toHex } from '../base/bytes.ts'

const SEED_BYTES = 32

const KeyFile = v.object({
  peerlog: v.literal('author key'),
  version: v.literal(1),
  database: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  seed: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
})

export function newAuthorSeed(): Buffer {
  return randomBytes(SEED_BYTES)
}

/** Where the author key of a database is kept. It is never part of the database, so a copied database is another author. */
export function authorKeyPath(databasePath: string): string {
  return `${databasePath}.key`
}

/** The seed in the key file, or null if there is none. */
export function readAuthorSeed(file: string, databaseTag: Uint8Array): Buffer | null {
  let text: string
  try {
    const mode = fs.statSync(file).mode
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new PeerlogError('INVALID_KEY_FILE', `others can read the author key ${file}`, {
        hint: `Run: chmod 600 '${file}'`,
      })
    }
    text = fs.readFileSync(file, 'utf8')
  } catch (cause) {
    if (cause instanceof PeerlogError) throw cause
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new PeerlogError('INVALID_KEY_FILE', `can't read the author key ${file}: ${String(cause)}`, {
      hint: 'It is a file that its user can read; restore it from a copy, or move it away to go on as a new author',
      cause,
    })
  }
  const hint = 'Restore it from a copy, or move it away to go on as a new author'
  let parsed: v.InferOutput<typeof KeyFile>
  try {
    parsed = v.parse(KeyFile, JSON.parse(text))
  } catch (cause) {
    throw new PeerlogError('INVALID_KEY_FILE', `${file} is not an author key of peerlog`, { hint, cause })
  }
  if (parsed.database !== toHex(databaseTag)) {
    throw new PeerlogError('INVALID_KEY_FILE', `${file} is the author key of another database`, { hint })
  }
  return Buffer.from(parsed.seed, 'hex')
}

/** Writes a new key file that only the user can read. An older one is kept beside it under another name. */
export function writeAuthorSeed(file: string, databaseTag: Uint8Array, seed: Uint8Array): void {
  const content = { peerlog: 'author key', version: 1, database: toHex(databaseTag), seed: toHex(seed) }
  if (fs.existsSync(file)) fs.renameSync(file, `${file}.${Date.now()}`)
  const draft = `${file}.new`
  fs.rmSync(draft, { force: true })
  const descriptor = fs.openSync(draft, 'wx', 0o600)
  try {
    fs.writeSync(descriptor, `${JSON.stringify(content, null, 2)}\n`)
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
  fs.renameSync(draft, file)
  syncFolder(path.dirname(file))
}

/** A renamed file survives the loss of power under its new name only once its folder has been synced. */
function syncFolder(folder: string): void {
  // Windows can't sync a folder, and has no need to.
  if (process.platform === 'win32') return
  const descriptor = fs.openSync(folder, 'r')
  try {
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}
