"""What a program that speaks need not import, because it takes seconds."""

import subprocess
import sys

SLOW = ("transformers", "torchvision", "scipy", "sympy", "torch._dynamo", "torch._inductor", "librosa", "matplotlib")


def test_models_are_loaded_without_slow_packages():
    code = f"import sys, talkinghead; talkinghead.load_models(); print([n for n in {SLOW} if n in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
