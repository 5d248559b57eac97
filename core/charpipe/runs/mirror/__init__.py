"""Runs in the shared store: run folders mirrored under attempts, pulled and resumed on other machines.

    index/runs/<run>.json                            what the run is of: written once
    index/runs-by-action/<action>/<run>.json         the runs of an action: written once
    index/deleted-runs/<run>.json                    the run was deleted: no machine pushes what it has of it
    runs/<run>/vocabulary.json, run.json             the request: written once, run.json last
    runs/<run>/attempt-2/attempt.json                who trains it, with which fence, from which checkpoint
    runs/<run>/attempt-2/checkpoints/step-00001200/  its files, manifest.json last
    runs/<run>/attempt-2/status.json, metrics.jsonl, samples.jsonl, pending.jsonl, results/...

A process trains a run only while it holds the run's lease, and writes only below the attempt that it began. Whoever
takes a run over begins the next attempt, so a process that has lost its lease can harm nothing.
"""
