"""Sweeps: search the settings of one architecture with Optuna's samplers, pruners and storage."""
