"""What Signert costs, measured beside its peers: `make bench`, or `make bench PART=sign`.

    statistic  medians, spreads, ratios with an interval      table     docs/performance.md and var/bench/*.json
    sides      what is compared, interleaved: A B A B …        observed  a store that counts, spans of time
    peers      the venv of the peers, and how they are run     keys      one PKI, ECDSA and RSA, for all sides

Each part is a module with `run(settings) -> Result`: breakdown, render, sign, whole, latency, memory, growth; and, of
what is not compared, stages, verification, search, fetching and export.
"""
