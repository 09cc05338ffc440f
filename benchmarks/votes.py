"""How much more of FER2013's labels ten people's votes know than networks that saw the picture.

    python benchmarks/votes.py --fer2013 DIR WHAT [WHAT ...]

WHAT is as in `networks.py`; several are averaged over their probabilities and mirror images. A
logistic regression tells PublicTest's labels from the networks' log-probabilities, from the FER+
votes of each face (as parts and as logarithms of them), and from both, each tenth of the faces by
the other nine. Where votes add little to a network, what it misses is not what other people see in
these faces either.
"""

import numpy as np
from networks import asked, mean_answer, network_of
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mien.metrics import accuracy, nll

#: A vote less than this part of one counts as this part in the logarithm.
LEAST = 0.05


def told_by(features, truth):
    """Probabilities (n, 7) of labels by features (n, d), in ten folds."""
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    return cross_val_predict(fitted, features, truth, cv=folds, method="predict_proba")


def figures(answers, votes, truth):
    """Accuracy and log loss by what is looked at.

    Args:
        answers: (n, k) log-probabilities of networks.
        votes: (n, 8) parts of the FER+ votes; zeros where a face has none.
        truth: (n,) FER2013's labels.
    """
    votes = np.hstack([votes, np.log(np.maximum(votes, LEAST))])
    seen = {"networks": answers, "votes": votes, "both": np.hstack([answers, votes])}
    told = {name: told_by(features, truth) for name, features in seen.items()}
    return {name: (accuracy(p.argmax(axis=1), truth), nll(p, truth)) for name, p in told.items()}


def main():
    options, training, rows = asked(__doc__)
    networks = [network_of(what, training, options.norm_faces) for what in options.what]
    said = mean_answer(networks, rows.images)
    truth = rows.targets["fer2013"].argmax(axis=1)
    print(f"PublicTest, n = {len(rows)}, ten folds; networks: {', '.join(options.what)}")
    print("by | accuracy of FER2013's labels | log loss")
    answers = np.hstack(list(said.values()))
    for name, (right, loss) in figures(answers, rows.targets["ferplus"], truth).items():
        print(f"{name} | {right:.4f} | {loss:.4f}")


if __name__ == "__main__":
    main()
