"""The default family: additive n-gram features, one hidden layer, softmax. Trains in CPU seconds, answers in microseconds."""
