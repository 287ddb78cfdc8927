"""Everything after training, in one go: export, calibrate, measure, and the model card."""
