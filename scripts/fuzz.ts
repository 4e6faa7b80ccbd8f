/**
 * The long run of the fuzzer over every decoder of bytes from outside: a table, and what was found.
 *
 *   npm run fuzz                            60 s for each decoder
 *   npm run fuzz -- --seconds 300 paths     these decoders, for five minutes each
 *   npm run fuzz -- --seed 7                with another seed
 */
import { REPOSITORY } from './lib/files.ts'
import { run } from './lib/processes.ts'

const args = ['--import', 'ts-blank-space/register', 'test/fuzz/main.ts', ...process.argv.slice(2)]
const { code } = await run(process.execPath, args, { cwd: REPOSITORY, echo: true })
process.exitCode = code ?? 1
