"""The default family: additive n-gram features, one hidden layer, softmax."""
