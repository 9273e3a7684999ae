"""Training of the audio-to-motion models: speech with its motion, losses and trainers."""
