/**
 * Which file may import which. The layers stand in order, lowest first: a file imports from its own folder and from
 * the layers below, never from beside or above. (`src/types` holds ambient declarations and imports nothing.)
 */
const LAYERS = [
  ['base'],
  ['topic'],
  ['event'],
  ['reconcile'],
  ['transport', 'store'],
  ['broadcast'],
  ['stream', 'crdt'],
  ['community'],
  ['open'],
  ['index'],
  ['simulator'],
  ['testing'],
  ['http'],
  ['cli'],
]

/** `src/NAME.ts` and everything in `src/NAME/`. */
const places = (names) => `^src/(${names.join('|')})(\\.ts$|/)`
/** A package, wherever it is installed; or its name, where it is not. */
const packages = (...names) => `(^|node_modules/)(${names.join('|')})(/|$)`
const nodeModules = (...names) => `^(node:)?(${names.join('|')})(/|$)`

const layerRules = LAYERS.flatMap((layer, rank) =>
  layer.map((name) => {
    const beside = layer.filter((other) => other !== name)
    const above = LAYERS.slice(rank + 1).flat()
    return {
      name: `${name}-imports-down`,
      comment: `src/${name} stands below ${[...beside, ...above].join(', ') || 'nothing'}.`,
      severity: 'error',
      from: { path: places([name]) },
      to: { path: places([...beside, ...above]) },
    }
  }),
)
// The last layer has nothing above it.
const lastRules = layerRules.filter((rule) => rule.to.path !== places([]))

/** Packages that only one place may know, so that they can be exchanged there. */
const keepTo = (name, to, from) => ({
  name: `${name}-in-one-place`,
  comment: `Only ${from} may import ${name}.`,
  severity: 'error',
  from: { path: '^(src|relay-server/src)/', pathNot: from },
  to: { path: to },
})

module.exports = {
  forbidden: [
    ...lastRules,
    {
      name: 'no-cycles',
      comment: 'Two files of a folder may know each other by type; at run time one comes first.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'resolvable',
      comment: 'The import leads nowhere.',
      severity: 'error',
      from: { path: '^(src|relay-server/src|scripts)/' },
      to: { couldNotResolve: true, pathNot: '^peerlog(-relay)?(/|$)' },
    },
    {
      name: 'testing-is-for-tests',
      comment: 'What users test with is not what they run with.',
      severity: 'error',
      from: { path: '^src/', pathNot: places(['testing']) },
      to: { path: places(['testing']) },
    },
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      from: { pathNot: '^test/' },
      to: { path: '^test/' },
    },
    {
      name: 'outsiders-use-the-package',
      comment: 'Benchmarks and examples import what any user can import.',
      severity: 'error',
      from: { path: '^(bench|examples)/' },
      to: { path: '^(src|relay-server/src)/' },
    },
    {
      name: 'relay-server-stands-alone',
      severity: 'error',
      from: { path: '^relay-server/src/' },
      to: { path: '^src/|^dist/|^peerlog(/|$)' },
    },
    {
      name: 'relay-server-through-its-entry-points',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^relay-server/src/' },
    },
    {
      name: 'session-is-pure',
      comment: 'The state machines know ports by their types only, and neither sockets nor disk.',
      severity: 'error',
      from: { path: '^src/broadcast/(session|gossip/)' },
      to: { path: places(['transport', 'store']), dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'sockets-and-disk-at-the-edges',
      comment: 'Sockets, disk, processes and threads belong to src/transport, src/store and the edges.',
      severity: 'error',
      from: { path: '^src/', pathNot: places(['transport', 'store', 'cli', 'http']) },
      to: {
        path: nodeModules(
          'net',
          'tls',
          'dgram',
          'dns',
          'fs',
          'http',
          'https',
          'http2',
          'child_process',
          'cluster',
          'worker_threads',
        ),
      },
    },
    keepTo('hyperswarm', packages('hyperswarm', 'hyperdht'), '^src/transport/hyperswarm(\\.ts$|[-/])'),
    keepTo('ws', packages('ws', '@types/ws'), '^(src/transport/relay(\\.ts$|[-/])|relay-server/src/)'),
    keepTo(
      'relay-frames',
      '^relay-server/|' + packages('peerlog-relay'),
      '^(src/transport/relay(\\.ts$|[-/])|src/cli/|src/testing|relay-server/src/)',
    ),
    keepTo('better-sqlite3', packages('better-sqlite3', '@types/better-sqlite3'), '^src/store/'),
    keepTo('commander', packages('commander', 'picocolors'), '^(src/cli/|relay-server/src/)'),
    keepTo('blake2b', packages('blake2b'), '^src/topic(\\.ts$|/)'),
    keepTo('rxjs', packages('rxjs'), '^src/stream(\\.ts$|/)'),
    {
      name: 'declared',
      comment: 'What ships imports nothing that an installation would lack.',
      severity: 'error',
      from: { path: '^(src|relay-server/src)/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        dependencyTypesNot: ['type-only'],
        pathNot: '^peerlog(-relay)?(/|$)|^relay-server/|@types/',
      },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules|(^|/)dist/' },
    exclude: { path: '(^|/)(coverage|test/vectors)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.cjs', '.mjs', '.d.ts', '.json'],
    },
    skipAnalysisNotInRules: true,
  },
}
