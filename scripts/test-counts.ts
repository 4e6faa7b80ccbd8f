/**
 * Prints `N passed, N failed` of a vitest JSON report, and fails if anything did.
 * Usage: test-counts.ts REPORT [EXIT CODE OF VITEST]
 */
import { existsSync, readFileSync } from 'node:fs'

interface VitestReport {
  success: boolean
  numPassedTests: number
  numFailedTests: number
  testResults: { status: string; assertionResults: unknown[] }[]
}

const [path = '', exitCode = '0'] = process.argv.slice(2)
let passed = 0
let failed = 1
if (existsSync(path)) {
  const report = JSON.parse(readFileSync(path, 'utf8')) as VitestReport
  // A file that could not even be loaded has no tests to count, and has failed.
  const unloadable = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  )
  passed = report.numPassedTests
  failed = report.numFailedTests + unloadable.length
  // An error outside of any test is in no test's result.
  if ((!report.success || exitCode !== '0') && failed === 0) failed = 1
} else {
  console.error('the tests did not run')
}
if (passed + failed === 0) {
  console.error('there are no tests')
  failed = 1
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
