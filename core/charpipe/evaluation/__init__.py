"""Evaluation and inspection of any predictor."""

from charpipe.evaluation.predictions import Prediction, predictions
from charpipe.evaluation.scores import Scores, score, score_text

__all__ = ["Prediction", "Scores", "predictions", "score", "score_text"]
