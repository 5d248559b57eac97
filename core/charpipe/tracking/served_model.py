"""Save a checkpoint as a model that MLflow can serve."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from importlib import metadata
from pathlib import Path

from charpipe.champions.state import BUNDLE


def save_served_model(checkpoint: Path, folder: Path) -> None:
    """Save a checkpoint's bundle as a model that MLflow can serve: charpipe's own files in `artifacts/bundle`, next
    to the code that MLflow runs."""
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        # MLflow warns about its own types on import, and wants an input example, for which it would run the model now
        warnings.simplefilter("ignore", UserWarning)
        import mlflow.pyfunc

        from charpipe.tracking import pyfunc as served

        bundle = Path(temporary) / "bundle"
        bundle.mkdir()
        for name in BUNDLE:
            shutil.copyfile(checkpoint / name, bundle / name)
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(served.__file__),
            artifacts={"bundle": bundle.as_uri()},
            signature=served.SIGNATURE,
            pip_requirements=[f"charpipe=={metadata.version('charpipe')}"],
        )
