"""The same service with BentoML: `MODEL=model.joblib bentoml serve bento:Census`."""

import os

import bentoml
import joblib
import pandas as pd
from pydantic import BaseModel


class Row(BaseModel):
    age: int
    fnlwgt: int
    education_num: int
    capital_gain: int
    capital_loss: int
    hours_per_week: int
    workclass: str
    education: str
    marital_status: str
    occupation: str
    relationship: str
    race: str
    sex: str
    native_country: str


class Answer(BaseModel):
    prediction: str
    probability: float


@bentoml.service
class Census:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["MODEL"])

    @bentoml.api
    def predict(self, row: Row) -> Answer:
        probabilities = self.model.predict_proba(pd.DataFrame([row.model_dump()]))[0]
        prediction = self.model.classes_[probabilities.argmax()]
        return Answer(prediction=prediction, probability=probabilities[1])
