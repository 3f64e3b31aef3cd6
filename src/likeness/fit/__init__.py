"""Points of photos -> coefficients: the most probable face behind them, and how sure that is.

    from likeness.fit import Observations, fit_face
    face = fit_face(model, Observations(landmarks, 4.0), camera)
    face.identity, face.expression, face.covariance

Minus the log posterior is minimised by Gauss-Newton steps with exact gradients. Needs NumPy alone.
"""

from likeness.fit.calibration import PointCalibration, calibrate_offsets
from likeness.fit.face import FaceFit, PersonFit, Start, fit_face, fit_person
from likeness.fit.gauss_newton import Stopping
from likeness.fit.observations import Observations, RobustLoss
from likeness.fit.points import IBUG, LandmarkPoints, SurfacePoints
from likeness.fit.posterior import vertex_std
from likeness.fit.priors import ExpressionPrior, FocalPrior, IdentityPrior

__all__ = [
    "IBUG",
    "ExpressionPrior",
    "FaceFit",
    "FocalPrior",
    "IdentityPrior",
    "LandmarkPoints",
    "Observations",
    "PersonFit",
    "PointCalibration",
    "RobustLoss",
    "Start",
    "Stopping",
    "SurfacePoints",
    "calibrate_offsets",
    "fit_face",
    "fit_person",
    "vertex_std",
]
