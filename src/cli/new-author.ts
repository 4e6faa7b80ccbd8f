import fs from 'node:fs'
import type { Command } from 'commander'
import { UsageError } from './failure.ts'
import type { CommonFlags } from './flags.ts'
import { addCommonFlags, openOptions } from './flags.ts'
import { short } from './format.ts'
import { withDatabase } from './with-database.ts'

export function addNewAuthor(program: Command): void {
  const command = program
    .command('new-author')
    .summary('go on under a new key')
    .description(
      'Moves the key beside the file away and makes a new one: for a file that was copied with its key, or whose author\n' +
        "has forked. What was written so far stays, as another author's. Uses no network.",
    )
  addCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  $ peerlog new-author -k my-notes -d notes.db`,
    )
    .action((flags: CommonFlags) => newAuthor(flags))
}

async function newAuthor(flags: CommonFlags): Promise<void> {
  const { path } = openOptions(flags)
  if (path === ':memory:') throw new UsageError('a database in memory is a new author anyway', 'Give a file with -d')
  const key = `${path}.key`
  let old: { author: string; key: string } | null = null
  // First as it is: a file that does not exist, or of another key, is not made or changed by asking for a new author.
  await withDatabase(flags, { readOnly: true }, async ({ db }) => {
    if (fs.existsSync(key)) old = { author: db.author, key: `${key}.${short(db.author)}` }
  })
  // Then for writing, which fails while another process has it, and would go on with the old key.
  await withDatabase(flags, { offline: true }, async ({ db }) => {
    if (old?.author === db.author) fs.renameSync(key, old.key)
  })
  await withDatabase(flags, { offline: true }, async ({ db, output }) => {
    await output.result({ author: db.author, old }, db.author)
    if (old !== null) output.status(`instead of ${old.author}, whose key is kept as ${old.key}`)
  })
}
