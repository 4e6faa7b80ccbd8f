/** Whether a node is on this machine: then we stay there too. */
export function isLoopback({ host }: { host: string }): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
