/** Whether faults are tried as often as one has time for, and not as often as CI has. */
export const THOROUGH: boolean = process.env['PEERLOG_THOROUGH'] === '1'

/** How often to try what a seed decides: all of it with PEERLOG_THOROUGH=1, otherwise every third. */
export function turns(all: number): number {
  return THOROUGH ? all : Math.ceil(all / 3)
}
