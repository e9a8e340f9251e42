import shutil

import numpy as np
import pytest
from PIL import Image

import limbeck
from limbeck.deploy.runtime.class_map import Tiles
from limbeck.deploy.runtime.detector import Detector
from limbeck.deploy.runtime.segmenter import Segmenter
from limbeck.errors import BundleError, DataError
from limbeck.imaging import read_image


@pytest.fixture(scope="module")
def bundle(finished_mask_run):
    return finished_mask_run.folder / "bundle"


@pytest.fixture
def image(finished_mask_run):
    return finished_mask_run.config.data.val.images / "1.png"


def test_a_class_for_every_pixel_of_the_original(bundle, image):
    found = Segmenter(bundle).segment(image)
    assert found.classes == ("ground", "square")
    assert found.labels.shape == found.confidence.shape == (48, 64)
    assert found.labels.dtype == np.uint8
    assert 0.5 <= found.confidence.min() <= found.confidence.max() <= 1  # of two classes the likelier one
    assert 0 < found.shares["square"] < 0.5


def test_a_path_a_picture_and_an_array_give_the_same(bundle, image):
    segmenter = limbeck.Segmenter(bundle, threads=1)
    by_path = segmenter.segment(str(image))
    for given in (Image.open(image), np.array(read_image(image))):
        assert np.array_equal(segmenter.segment(given).labels, by_path.labels)


def test_a_large_image_can_be_looked_at_in_tiles(bundle, image):
    segmenter = Segmenter(bundle)
    large = Image.fromarray(np.tile(np.array(read_image(image)), (3, 3, 1)))
    tiled, whole = segmenter.segment(large, tiles=Tiles()), segmenter.segment(large)
    assert tiled.labels.shape == whole.labels.shape == (144, 192)
    truth = np.tile(segmenter.segment(image).labels, (3, 3))
    assert (tiled.labels == truth).mean() > (whole.labels == truth).mean()


def test_a_student_of_an_rgb_x_teacher_reads_rgb_alone(bundle, image):
    segmenter = Segmenter(bundle)
    assert segmenter.maps == {}
    with pytest.raises(DataError, match="the network has no input 'depth'"):
        segmenter.segment(image, {"depth": np.zeros((1, 64, 64), np.float32)})


def test_a_bundle_of_another_task_is_refused_by_the_name_of_what_runs_it(bundle, finished_run):
    with pytest.raises(BundleError, match=r"the bundle is for segmentation.*limbeck\.Segmenter runs it"):
        Detector(bundle)
    with pytest.raises(BundleError, match=r"the bundle is for detection2d.*limbeck\.Detector runs it"):
        Segmenter(finished_run.folder / "bundle")


def test_an_altered_bundle_is_refused(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "bundle")
    (tmp_path / "bundle/labels.txt").write_text("road\n")
    with pytest.raises(BundleError, match=r"labels\.txt has another content"):
        Segmenter(tmp_path / "bundle")
