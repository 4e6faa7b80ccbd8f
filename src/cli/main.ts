#!/usr/bin/env node
import { Command } from 'commander'
import { addDoctor } from './doctor.ts'
import { EXIT_OK, reportFailure } from './failure.ts'
import { addInteractive } from './interactive.ts'
import { addLog } from './log.ts'
import { addNewAuthor } from './new-author.ts'
import { addPeers } from './peers.ts'
import { addRecv } from './recv.ts'
import { addSend } from './send.ts'
import { addSim } from './sim.ts'
import { packageVersion } from './version.ts'

function createProgram(): Command {
  const program = new Command('peerlog')
    .description('An event log in a SQLite file, shared with whoever has the same key.')
    .version(packageVersion(), '-V, --version')
    .exitOverride()
    .showHelpAfterError("(add '--help' for how it is used)")
    .addHelpText(
      'after',
      `
Examples, one per terminal:
  $ peerlog recv -k my-notes -d a.db
  $ peerlog send -k my-notes -d b.db 'hello world'
  $ peerlog log  -k my-notes -d a.db

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 it failed, 2 wrong usage.`,
    )
  addSend(program)
  addRecv(program)
  addInteractive(program)
  addLog(program)
  addPeers(program)
  addDoctor(program)
  addSim(program)
  addNewAuthor(program)
  return program
}

async function main(): Promise<number> {
  process.stderr.on('error', () => {})
  // Whoever reads the help may close the pipe early; commands look after theirs themselves.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  try {
    await createProgram().parseAsync()
    return EXIT_OK
  } catch (error) {
    return reportFailure(error)
  }
}

process.exitCode = await main()
