"""REST: which domain a text belongs to, runs over the graph, learning from data sets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bailiwick.api.app import actor_of, platform_of
from bailiwick.datasets.model import Split
from bailiwick.detection.model import AssetExplanation, Detection, DetectionReport, Explanation, LearningReport
from bailiwick.governance.audit import Actor
from bailiwick.models.model import LabelledText
from bailiwick.platform import Platform

router = APIRouter(tags=["detection"])

PlatformOf = Annotated[Platform, Depends(platform_of)]
ActorOf = Annotated[Actor, Depends(actor_of)]
Threshold = Annotated[float | None, Field(ge=0, le=1, description="score to reach; null: the fitted one")]
Text = Annotated[str, Field(max_length=1_000_000)]


class DetectRequest(BaseModel):
    """One text or several."""

    model_config = ConfigDict(extra="forbid")

    text: Text | None = None
    texts: Annotated[list[Text], Field(min_length=1, max_length=1_000)] | None = None
    threshold: Threshold = None
    explain: bool = Field(False, description="for one text: say why")

    @model_validator(mode="after")
    def _one_of_both(self) -> DetectRequest:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either text or texts")
        if self.explain and self.text is None:
            raise ValueError("explain goes with text")
        return self


class RunRequest(BaseModel):
    """How to tag the graph."""

    model_config = ConfigDict(extra="forbid")

    threshold: Threshold = None


class LearnRequest(BaseModel):
    """What to learn from, beside the examples that domains carry."""

    model_config = ConfigDict(extra="forbid")

    dataset: Annotated[str, Field(max_length=200, description="id or name")] | None = None
    again: bool = Field(False, description="learn even where the examples did not change")


@router.post("/v1/detect")
def detect(request: DetectRequest, platform: PlatformOf) -> Detection | Explanation | list[Detection]:
    """The domain of a text, or of each of several; null where the detector abstains."""
    detector = platform.detection.detector(threshold=request.threshold)
    if request.texts is not None:
        return detector.detect_all(request.texts)
    text = request.text or ""
    return detector.explain(text) if request.explain else detector.detect(text)


@router.post("/v1/detections", status_code=201)
def run_detection(request: RunRequest, platform: PlatformOf, actor: ActorOf) -> DetectionReport:
    """Tag the graph anew; learns first where the examples of domains changed."""
    platform.detection.learn_own(actor, given=lambda origin: _examples(platform, origin))
    return platform.detection.detect_graph(actor, threshold=request.threshold)


@router.post("/v1/detections/learn", status_code=201)
def learn(request: LearnRequest, platform: PlatformOf, actor: ActorOf) -> LearningReport:
    """Learn from the examples of domains, and from the training and validation rows of a data set."""
    examples = {} if request.dataset is None else _examples(platform, request.dataset)
    return platform.detection.learn(examples, actor, origin=request.dataset, again=request.again)


def _examples(platform: Platform, dataset: str) -> dict[str, list[LabelledText]]:
    """The rows of a data set that may be learned from, by domain: the test rows stay unseen."""
    examples: dict[str, list[LabelledText]] = {}
    for split in (Split.TRAIN, Split.VALIDATION):
        for row in platform.datasets.rows(dataset, split):
            examples.setdefault(row.domain, []).append(LabelledText(row.text, row.label, row.unit))
    return examples


@router.get("/v1/detections/latest")
def latest(platform: PlatformOf) -> DetectionReport:
    """The report of the latest run."""
    return platform.detection.report()


@router.get("/v1/detections/assets/{qualified_name:path}")
def explain_asset(qualified_name: str, platform: PlatformOf) -> AssetExplanation:
    """Why an asset carries its tags."""
    return platform.detection.explain_asset(qualified_name)


@router.get("/v1/detections/{run}")
def report(run: str, platform: PlatformOf) -> DetectionReport:
    """The report of a run."""
    return platform.detection.report(run)
