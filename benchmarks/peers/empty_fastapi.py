"""An empty FastAPI endpoint: the least that FastAPI can do."""

from fastapi import FastAPI

app = FastAPI()


@app.post("/predict")
async def predict() -> dict[str, str]:
    return {}
