"""Privacy loss distributions of single steps, through dp-accounting; rounded pessimistically. For fixed plans only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailiwick.privacy.accounting.steps import ApproximateDp, Gaussian, Laplace, Mechanism, PureDp, SampledGaussian

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution


_MOST_STEPS = 2**16


def loss_distribution(step: Mechanism) -> PrivacyLossDistribution:
    """The distribution of the privacy loss of one step."""
    from dp_accounting.pld import common, privacy_loss_distribution

    match step:
        case PureDp(epsilon):
            return privacy_loss_distribution.from_privacy_parameters(common.DifferentialPrivacyParameters(epsilon, 0.0))
        case ApproximateDp(epsilon, delta):
            parameters = common.DifferentialPrivacyParameters(epsilon, delta)
            return privacy_loss_distribution.from_privacy_parameters(parameters)
        case Laplace(epsilon, None):
            return privacy_loss_distribution.from_laplace_mechanism(1 / epsilon)
        case Laplace(epsilon, int(steps)) if steps > _MOST_STEPS:
            # The table would take a gigabyte; the worst pure step is true of every grid, and a little dearer.
            return loss_distribution(PureDp(epsilon))
        case Laplace(epsilon, int(steps)):
            return privacy_loss_distribution.from_discrete_laplace_mechanism(epsilon / steps, sensitivity=steps)
        case Gaussian(noise_multiplier):
            return privacy_loss_distribution.from_gaussian_mechanism(noise_multiplier)
        case SampledGaussian(sample_rate, noise_multiplier):
            return privacy_loss_distribution.from_gaussian_mechanism(noise_multiplier, sampling_prob=sample_rate)
