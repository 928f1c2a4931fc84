"""DICOM segmentations of t3dc against pydicom and highdicom.

    python dicom_seg.py series DIR    a small oblique CT series and series.json, what writeDicomSeg needs to know of it
    python dicom_seg.py check DIR     reads DIR/seg.dcm and compares it with DIR/labels.npy, [frame, row, column] along the normal

test/reference/dicom-seg.ts writes what `check` reads.
"""
import json
import sys
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

ROWS, COLUMNS, SLICES = 23, 19, 11
SPACING, THICKNESS = (0.7, 0.9), 2.5
ROOT = "1.2.826.0.1.3680043.8.498.7"


def series(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    c, s = np.cos(0.2), np.sin(0.2)
    along, down = np.array([c, s, 0.0]), np.array([-s * 0.8, c * 0.8, -0.6])
    normal = np.cross(along, down)
    origin = np.array([-100.5, 33.25, -712.0])
    instances = []
    rng = np.random.default_rng(1)
    for n in range(SLICES):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"{ROOT}.1.{100 + (n * 7) % SLICES}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = f"{ROOT}.2", f"{ROOT}.3", f"{ROOT}.4"
        ds.PatientName, ds.PatientID, ds.PatientSex, ds.PatientBirthDate = "Müller^Änne", "P 1", "F", "19500102"
        ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20200304", "101112", "S1", "A1"
        ds.SeriesDate, ds.SeriesTime, ds.ReferringPhysicianName = "20200304", "102030", ""
        ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", 2, n + 1
        ds.ImageType, ds.PositionReferenceIndicator = ["ORIGINAL", "PRIMARY", "AXIAL"], ""
        ds.ImagePositionPatient = [round(float(v), 6) for v in origin + n * THICKNESS * normal]
        ds.ImageOrientationPatient = [round(float(v), 10) for v in (*along, *down)]
        ds.PixelSpacing, ds.SliceThickness = list(SPACING), THICKNESS
        ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.RescaleSlope, ds.RescaleIntercept, ds.KVP, ds.AcquisitionNumber = 1, -1024, 120, 1
        ds.PixelData = rng.integers(0, 1200, (ROWS, COLUMNS), dtype=np.int16).tobytes()
        ds.save_as(folder / f"image-{(n * 5) % SLICES:02d}.dcm", enforce_file_format=True)
        instances.append({
            "sopClassUid": str(CTImageStorage),
            "sopInstanceUid": str(ds.SOPInstanceUID),
            "position": [float(v) for v in ds.ImagePositionPatient],
        })
    keywords = ["PatientName", "PatientID", "PatientSex", "PatientBirthDate", "StudyDate", "StudyTime", "StudyID",
                "AccessionNumber", "SeriesDate", "SeriesTime"]
    (folder / "series.json").write_text(json.dumps({
        "rows": ROWS, "columns": COLUMNS, "orientation": [float(v) for v in ds.ImageOrientationPatient],
        "spacing": [*SPACING, THICKNESS], "instances": instances, "studyUid": ds.StudyInstanceUID,
        "seriesUid": ds.SeriesInstanceUID, "frameOfReferenceUid": ds.FrameOfReferenceUID,
        "attributes": {k: str(getattr(ds, k)) for k in keywords},
    }))


def check(folder: Path) -> None:
    import highdicom as hd

    images = [pydicom.dcmread(p) for p in sorted(folder.glob("image-*.dcm"))]
    along, down = np.array(images[0].ImageOrientationPatient).reshape(2, 3)
    normal = np.cross(along, down)
    images.sort(key=lambda d: float(np.dot(normal, d.ImagePositionPatient)))
    expected = np.load(folder / "labels.npy")
    seg = hd.seg.segread(folder / "seg.dcm")
    found = seg.get_pixels_by_source_instance([d.SOPInstanceUID for d in images], combine_segments=True,
                                              assert_missing_frames_are_empty=True)
    assert found.shape == expected.shape and (found == expected).all(), "labels differ"
    assert (seg.PatientName, seg.PatientID, seg.StudyInstanceUID, seg.FrameOfReferenceUID) == (
        images[0].PatientName, images[0].PatientID, images[0].StudyInstanceUID, images[0].FrameOfReferenceUID)
    whole = seg.get_volume(combine_segments=True)
    # By geometry alone, without references to images: every voxel where the CT has it.
    volume = hd.get_volume_from_series(images)
    matched = whole.match_geometry(volume)
    upward = np.dot(normal, volume.get_affine("LPS")[:3, 0]) > 0
    assert (matched.array == (expected if upward else expected[::-1])).all(), "labels by geometry differ"
    assert np.allclose(matched.affine, volume.affine, atol=1e-4), "geometry differs"
    for number in seg.segment_numbers:
        d = seg.get_segment_description(number)
        print(number, d.segment_label, "|", d.segmented_property_category.meaning, "|",
              d.segmented_property_type.value, d.segmented_property_type.meaning, "|", (expected == number).sum(), "voxels")
    raw = pydicom.dcmread(folder / "seg.dcm")
    print(len(raw.PerFrameFunctionalGroupsSequence), "frames,", raw.SOPInstanceUID)
    for element in raw.iterall():
        element.value  # noqa: B018  every element can be read
    print("same labels on the same geometry")


if __name__ == "__main__":
    {"series": series, "check": check}[sys.argv[1]](Path(sys.argv[2]))
