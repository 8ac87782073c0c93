"""nasbench: benchmarks explanations of image classifiers with the classifier's own superpixels."""

__version__ = "0.1.0"
