import { MAX_MARKS, MAX_REMEMBERED_MARKS } from '../base/limits.ts'
import type { PeerMarks, StoredMark } from './peer-marks.ts'
import type { Database, Statement } from './sqlite.ts'

/** Remembers, for each peer, frontiers that both have had: at the next meeting only what has changed since is told. */
export class Marks implements PeerMarks {
  readonly #select: Statement<[string, number], StoredMark>
  readonly #insert: Statement<[string, Buffer, number]>
  readonly #trimPeer: Statement<[string, string, number]>
  readonly #trimAll: Statement<[number]>
  readonly #clear: Statement<[]>

  constructor(db: Database) {
    this.#select = db.prepare('SELECT root, position FROM marks WHERE peer = ? ORDER BY position DESC LIMIT ?')
    this.#insert = db.prepare('INSERT OR REPLACE INTO marks (peer, root, position) VALUES (?, ?, ?)')
    this.#trimPeer = db.prepare(
      `DELETE FROM marks WHERE peer = ? AND position <
         (SELECT position FROM marks WHERE peer = ? ORDER BY position DESC LIMIT 1 OFFSET ?)`,
    )
    this.#trimAll = db.prepare(
      'DELETE FROM marks WHERE position < (SELECT position FROM marks ORDER BY position DESC LIMIT 1 OFFSET ?)',
    )
    this.#clear = db.prepare('DELETE FROM marks')
  }

  of(peer: string): StoredMark[] {
    return this.#select.all(peer, MAX_MARKS)
  }

  remember(peer: string, { root, position }: StoredMark): void {
    this.#insert.run(peer, root, position)
    this.#trimPeer.run(peer, peer, MAX_MARKS - 1)
    this.#trimAll.run(MAX_REMEMBERED_MARKS - 1)
  }

  /** Inside a transaction: a log was found to be forked, and no position tells who knows of it. */
  clear(): void {
    this.#clear.run()
  }
}
