"""FastAPI, pydantic, pandas, scikit-learn: the service that most people write.

MODEL=model.joblib uvicorn by_hand:app
"""

import os

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(os.environ["MODEL"])


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


@app.post("/predict")
def predict(row: Row) -> Answer:
    probabilities = model.predict_proba(pd.DataFrame([row.model_dump()]))[0]
    prediction = model.classes_[probabilities.argmax()]
    return Answer(prediction=prediction, probability=probabilities[1])
