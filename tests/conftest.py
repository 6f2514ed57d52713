"Test files run side by side, one a core (pytest.ini), and their processes do not wait for each other's threads."
import os

os.environ.setdefault('OMP_NUM_THREADS', '1')
