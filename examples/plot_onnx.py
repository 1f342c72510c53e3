"""
ONNX: the same labels without Python
====================================

A fitted classifier becomes a graph of standard operators, which the runtimes of ONNX compute on servers, phones and in
browsers. Here one of handwritten digits is written and read again, and its labels, its scores and its speed are
compared with those of the estimator (`pip install ".[plot,onnx]"`).
"""

import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_ckn import AutoCKNClassifier
from sklearn_ckn.onnx import to_onnx

X, y = load_digits(return_X_y=True)  # rows of 64 pixels
X_train, X_test, y_train, y_test = train_test_split(X.astype(np.float32), y, test_size=797, random_state=0)
classifier = AutoCKNClassifier("fast", input_shape=(8, 8), random_state=0).fit(X_train, y_train)

# %%
# The graph is a file like any other. It takes batches of any size, of the shape and the axes that `fit` was given.

path = Path(tempfile.mkdtemp()) / "digits.onnx"
path.write_bytes(to_onnx(classifier).SerializeToString())
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1  # as many as the estimator has
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
for value in (*session.get_inputs(), *session.get_outputs()):
    print(f"{value.name:<8}{value.type:<16}{value.shape}")

# %%
# Numbers differ by rounding, and so labels are the same, unless two classes have nearly the same score.

labels, scores = session.run(["label", "scores"], {"X": X_test})
expected = classifier.decision_function(X_test)
print(f"accuracy of the graph            {np.mean(labels == y_test):.4f}")
print(f"labels as of the estimator       {np.mean(labels == classifier.predict(X_test)):.4f}")
print(f"largest difference of scores     {np.abs(scores - expected).max():.1e} of {np.abs(expected).max():.2f}")
print(f"size of the file                 {path.stat().st_size / 1e3:.0f} kB")

# %%
# Both in the same way: the labels of a batch, the best of some runs, one thread. The estimator checks what it is given
# and begins anew for every batch, which takes most of its time where there are few images.


def images_per_second(predict, batch):
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        predict(batch)
        seconds.append(time.perf_counter() - start)
    return len(batch) / min(seconds)


ways = {"estimator": classifier.predict, "onnxruntime": lambda batch: session.run(["label"], {"X": batch})}
sizes = [1, 4, 16, 64, 256, len(X_test)]
figure, ax = plt.subplots(layout="constrained")
for name, predict in ways.items():
    speeds = [images_per_second(predict, X_test[:size]) for size in sizes]
    print(f"{name:<12}{speeds[0]:.0f} images per second one by one, {speeds[-1]:.0f} in a batch of {sizes[-1]}")
    ax.loglog(sizes, speeds, "o-", label=name)
ax.set(xlabel="images in a batch", ylabel="images per second", xticks=sizes, xticklabels=sizes)
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()
