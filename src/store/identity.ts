import { equalBytes } from '../base/bytes.ts'
import { PeerlogError } from '../base/errors.ts'
import { hash } from '../base/hash.ts'
import type { DatabaseKeys } from '../event/keys.ts'
import { authorKeyPair } from '../event/signature.ts'
import { authorKeyPath, newAuthorSeed, readAuthorSeed, writeAuthorSeed } from './author-key.ts'
import type { EventStoreOptions } from './options.ts'
import type { Database, OpenDatabase } from './sqlite.ts'

/** That the file is of this database and this secret, if it says so already. */
export function checkIdentity(db: Database, { databaseId, keys, path }: EventStoreOptions): void {
  const meta = new Map(
    db
      .prepare<[], { name: string; value: unknown }>('SELECT name, value FROM meta')
      .all()
      .map((row) => [row.name, row.value]),
  )
  if (!meta.has('database_id')) return
  if (meta.get('database_id') !== databaseId) {
    const message = `${path} holds the database '${String(meta.get('database_id'))}', not '${databaseId}'`
    throw new PeerlogError('OTHER_DATABASE', message, { hint: 'Use its own id, or another path for this one' })
  }
  if (!equalBytes(meta.get('secret_check') as Buffer, secretCheck(keys))) {
    throw new PeerlogError('WRONG_SECRET', `${path} was made with another secret, or with none`, {
      hint: 'Use the secret that the database was created with, or another path',
    })
  }
}

/** Notes in a new file whose it is. */
export function noteIdentity({ db }: OpenDatabase, { databaseId, keys }: EventStoreOptions): void {
  const insert = db.prepare('INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)')
  db.transaction(() => {
    insert.run('database_id', databaseId)
    insert.run('secret_check', secretCheck(keys))
  })()
}

function secretCheck(keys: DatabaseKeys): Buffer {
  return hash([Buffer.from('peerlog 1 secret check\0', 'utf8'), keys.admission])
}

/** The seed in the key file, or null where there is none. */
export function knownSeed({ path, keys, authorSeed }: EventStoreOptions): Uint8Array | null {
  return authorSeed === undefined && path !== ':memory:' ? readAuthorSeed(authorKeyPath(path), keys.tag) : null
}

export interface AuthorSeed {
  seed: Uint8Array
  /** Made just now, at random: nobody can hold events of it. */
  isNew: boolean
}

/**
 * The key file's seed if the database knows it for its own, or a new one. A key whose database has gone, or was replaced
 * by another copy, may have signed events that are not here: signing on with it would fork its log.
 */
export function authorSeed({ db }: OpenDatabase, options: EventStoreOptions): AuthorSeed {
  const { path, keys, readOnly } = options
  if (options.authorSeed !== undefined) return { seed: options.authorSeed, isNew: false }
  const known = knownSeed(options)
  const author = db.prepare<[], Buffer>("SELECT value FROM meta WHERE name = 'author'").pluck().get()
  if (known !== null && author !== undefined && equalBytes(authorKeyPair(known).publicKey, author)) {
    return { seed: known, isNew: false }
  }
  const seed = newAuthorSeed()
  if (readOnly === true || path === ':memory:') return { seed, isNew: true }
  writeAuthorSeed(authorKeyPath(path), keys.tag, seed)
  db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('author', ?)").run(authorKeyPair(seed).publicKey)
  return { seed, isNew: true }
}

export function forkedError({ path, authorSeed: given }: EventStoreOptions): PeerlogError {
  const away =
    given === undefined ? `Move ${authorKeyPath(path)} away and open it again` : 'Open it with another authorSeed'
  return new PeerlogError(
    'AUTHOR_FORKED',
    'this author has signed two contradicting histories and can append no more',
    { hint: `${away} to go on as a new author; everything stored stays readable` },
  )
}
