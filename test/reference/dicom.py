"""Small DICOM series by pydicom, with what they hold as NIfTI by nibabel from the same arrays: test/golden/dicom/NAME.zip.

    python dicom.py [DIR]

Each zip has the files of one case, nested and without extensions, and truth.nii.gz where there is one volume to be read. Needs
pydicom, nibabel, pylibjpeg, pylibjpeg-openjpeg, pyjpegls, python-gdcm.
"""
import io
import sys
import zipfile
from pathlib import Path

import gdcm
import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (CTImageStorage, DeflatedExplicitVRLittleEndian, EnhancedCTImageStorage, EnhancedSRStorage,
                         ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless,
                         JPEGLSLossless, RLELossless)

ROOT = "1.2.826.0.1.3680043.8.498.9"
AXIAL = ([1.0, 0, 0], [0, 1.0, 0])


def blank(sop_class, uid, syntax=ExplicitVRLittleEndian, study=1, series=1):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, f"{ROOT}.{study}.{series}.{uid}"
    meta.TransferSyntaxUID = syntax
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.{study}", f"{ROOT}.{study}.{series}"
    ds.PatientID, ds.PatientName = f"P{study}", "Müller^Änne"
    ds.Modality, ds.SeriesNumber, ds.SeriesDescription = "CT", series, ""
    return ds


def image(stored, position, n, *, axes=AXIAL, spacing=(0.7, 0.9), slope=1, intercept=-1024, syntax=ExplicitVRLittleEndian,
          bits=16, thickness=2.5, series=1, study=1, number=None, **more):
    """One classic slice. `stored` [row, column]."""
    ds = blank(CTImageStorage, n + 1, syntax, study, series)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.InstanceNumber = n + 1 if number is None else number
    ds.ImagePositionPatient = [f"{v:.8f}"[:16] for v in position]
    ds.ImageOrientationPatient = [f"{v:.10f}"[:16] for v in (*axes[0], *axes[1])]
    ds.PixelSpacing, ds.SliceThickness = list(spacing), thickness
    ds.Rows, ds.Columns = stored.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits, bits - 1
    ds.PixelRepresentation = 1 if stored.dtype.kind == "i" else 0
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = slope, intercept, "HU"
    for key, value in more.items():
        setattr(ds, key, value)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    ds.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def data(ds):
    out = io.BytesIO()
    little = ds.file_meta.TransferSyntaxUID != ExplicitVRBigEndian
    implicit = ds.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    pydicom.dcmwrite(out, ds, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return out.getvalue()


def truth(hu, origin, along, down, step, spacing):
    """hu [slice, row, column] -> NIfTI [column, row, slice], RAS."""
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = np.array(along) * spacing[1], np.array(down) * spacing[0]
    affine[:3, 2], affine[:3, 3] = step, origin
    affine = np.diag([-1.0, -1, 1, 1]) @ affine
    return nibabel.Nifti1Image(hu.transpose(2, 1, 0).astype(np.float32), affine).to_bytes()


def save(out, name, files):
    with zipfile.ZipFile(out / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as z:
        for path, content in files.items():
            z.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)


def placed(n, origin=(-30.5, 12.25, -700.0), step=(0, 0, 2.5)):
    return np.array(origin) + n * np.array(step)


def oblique(out):
    """Directions oblique, slope and intercept by the slice, files in nested folders without extension, one that is no DICOM."""
    rng = np.random.default_rng(1)
    c, s = np.cos(0.3), np.sin(0.3)
    along, down = np.array([c, s, 0]), np.array([-s * 0.8, c * 0.8, -0.6])
    normal = np.cross(along, down)
    stored = rng.integers(-900, 900, (6, 7, 5), dtype=np.int16)
    slopes = [1, 1, 2, 0.5, 1.5, 1]
    inters = [-1024, -1000, 0, 10.5, -3, -1024]
    files = {"notes.txt": b"no DICOM", "DICOM/empty": b""}
    hu = np.stack([stored[n] * slopes[n] + inters[n] for n in range(6)])
    for n in range(6):
        ds = image(stored[n], placed(n, step=normal * 3), n, axes=(along, down), slope=slopes[n], intercept=inters[n],
                   number=(n * 5) % 6)
        files[f"DICOM/A{n % 2}/IM{(n * 5) % 6:04d}"] = data(ds)
    files["truth.nii.gz"] = truth(hu, placed(0), along, down, normal * 3, (0.7, 0.9))
    save(out, "oblique", files)


def padding(out):
    """12 of 16 bits unsigned with overlay bits above them, and a range of padding."""
    rng = np.random.default_rng(2)
    stored = rng.integers(100, 4000, (4, 6, 5)).astype(np.uint16)
    stored[:, 0, :2], stored[:, 0, 2], stored[:, 5, 4] = 0, 7, 16
    hu = stored.astype(np.float32) - 1000
    hu[(stored >= 0) & (stored <= 16)] = -1024
    files = {}
    for n in range(4):
        ds = image(stored[n] | np.uint16(0x3000), placed(n), n, bits=12, intercept=-1000)
        ds.PixelPaddingValue, ds.PixelPaddingRangeLimit = 0, 16
        ds["PixelPaddingValue"].VR = ds["PixelPaddingRangeLimit"].VR = "US"
        files[f"{n}.dcm"] = data(ds)
    files["truth.nii.gz"] = truth(hu, placed(0), *AXIAL, (0, 0, 2.5), (0.7, 0.9))
    save(out, "padding", files)


def compressed(out):
    """A slice each of RLE, JPEG-LS, JPEG 2000, JPEG Lossless, deflate, big endian and implicit VR."""
    y, x = np.mgrid[0:34, 0:32]
    rng = np.random.default_rng(3)
    stored = np.stack([(30 * x - 25 * y + 8 * n + rng.integers(-3, 3, x.shape)) for n in range(7)]).astype(np.int16)
    files = {}
    syntaxes = [RLELossless, JPEGLSLossless, JPEG2000Lossless, None, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian,
                ImplicitVRLittleEndian]
    for n, syntax in enumerate(syntaxes):
        native = syntax if n > 3 else ExplicitVRLittleEndian
        ds = image(stored[n], placed(n), n, syntax=native)
        if n < 3:
            ds.compress(syntax, generate_instance_uid=False)
        content = data(ds)
        files[f"{n}"] = jpeg_lossless(content, out) if syntax is None else content
    files["truth.nii.gz"] = truth(stored - 1024.0, placed(0), *AXIAL, (0, 0, 2.5), (0.7, 0.9))
    save(out, "compressed", files)


def jpeg_lossless(content, out):
    path = out / "draft.dcm"
    path.write_bytes(content)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()
    made = path.read_bytes()
    path.unlink()
    return made


def study(out):
    """A scout, arterial, venous (soft and sharp), a thick derived series, a projection and a report."""
    small = np.zeros((4, 3), np.int16)
    files = {}

    def add(series, count, description, kernel, **more):
        for n in range(count):
            ds = image(small + series, placed(n, step=(0, 0, 2)), n, series=series, thickness=2, SeriesDescription=description,
                       ConvolutionKernel=kernel, **more)
            files[f"S{series}/{n}"] = data(ds)

    add(1, 1, "Topogram", "T20f", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    add(2, 9, "Abd arteriell 2.0", "B30f")
    add(3, 9, "Abd venös 2.0", "B30f")
    add(4, 12, "Abd venös 2.0 Lunge", "B70f")
    add(5, 20, "Abd venös MPR", "B30f", ImageType=["DERIVED", "SECONDARY", "MPR"])
    add(6, 12, "MIP venös", "B30f", ImageType=["DERIVED", "SECONDARY", "MIP"])
    report = blank(EnhancedSRStorage, 1, series=7)
    report.Modality = "SR"
    files["S7/report"] = data(report)
    save(out, "study", files)


def phases(out):
    """Two acquisitions at the same places in one series."""
    files = {}
    for acquisition in (1, 2):
        for n in range(8):
            stored = np.full((4, 3), 100 * acquisition + n, np.int16)
            ds = image(stored, placed(n), n + 8 * acquisition, number=n + 8 * acquisition, AcquisitionNumber=acquisition,
                       SeriesDescription="Leber 2 phasig")
            files[f"{acquisition}{n}"] = data(ds)
    save(out, "phases", files)


def doubled(out):
    """Each place twice: one zip where the two are equal, one where they are not."""
    for name, change in (("doubled-equal", 0), ("doubled-other", 1)):
        files = {}
        for n in range(5):
            stored = np.full((4, 3), n, np.int16)
            files[f"a{n}"] = data(image(stored, placed(n), n))
            files[f"b{n}"] = data(image(stored + (change if n == 3 else 0), placed(n), n + 20))
        files["c1"] = files["a1"]
        save(out, name, files)


def ramp(position, axes, spacing, shape):
    """HU = 2x + 3y - z/2 of the place in L, P, S, stored in eighths."""
    row, column = np.mgrid[0:shape[0], 0:shape[1]]
    place = [position[a] + column * spacing[1] * axes[0][a] + row * spacing[0] * axes[1][a] for a in range(3)]
    return np.round((2 * place[0] + 3 * place[1] - place[2] / 2) * 8).astype(np.int16)


def ramps(out):
    """Uneven, tilted, with a slice missing, and off the line."""
    heights = {
        "uneven": [0, 2, 4, 6, 9, 12, 15, 17],
        "missing": [0, 2, 4, 6, 10, 12, 14, 16],
        "tilted": [0, 2, 4, 6, 8, 10, 12, 14],
        "crooked": [0, 2, 4, 6, 8, 10, 12, 14],
    }
    for name, z in heights.items():
        files = {}
        for n, at in enumerate(z):
            lean = at * np.tan(np.radians(15)) if name == "tilted" else 3 if name == "crooked" and n == 4 else 0
            place = np.array([-20.0, -30 + lean, -100 + at])
            stored = ramp(place, AXIAL, (0.5, 0.5), (9, 8))
            ds = image(stored, place, n, spacing=(0.5, 0.5), slope=0.125, intercept=0, thickness=2)
            files[f"{n}"] = data(ds)
        save(out, name, files)


def enhanced(out):
    """An enhanced multi-frame CT, frames out of order, rescaling by the frame, orientation shared."""
    rng = np.random.default_rng(4)
    stored = rng.integers(-500, 500, (6, 5, 4), dtype=np.int16)
    order = [3, 0, 5, 1, 4, 2]
    slopes = [1, 2, 1, 1, 3, 1]
    ds = blank(EnhancedCTImageStorage, 1)
    ds.ImageType, ds.InstanceNumber, ds.NumberOfFrames = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], 1, 6
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 5, 4, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1

    def group(**values):
        item = Dataset()
        for key, value in values.items():
            setattr(item, key, value)
        return Sequence([item])

    shared = Dataset()
    shared.PixelMeasuresSequence = group(PixelSpacing=[0.7, 0.9], SliceThickness=2.5)
    shared.PlaneOrientationSequence = group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.CTImageFrameTypeSequence = group(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    shared.CTReconstructionSequence = group(ConvolutionKernel="B30f")
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for n in order:
        item = Dataset()
        item.PlanePositionSequence = group(ImagePositionPatient=list(placed(n)))
        item.PixelValueTransformationSequence = group(RescaleSlope=slopes[n], RescaleIntercept=-1024, RescaleType="HU")
        item.FrameContentSequence = group(FrameAcquisitionNumber=1)
        frames.append(item)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    ds.PixelData = stored[order].tobytes()
    ds["PixelData"].VR = "OW"
    hu = np.stack([stored[n] * slopes[n] - 1024 for n in range(6)])
    save(out, "enhanced", {"all.dcm": data(ds), "truth.nii.gz": truth(hu, placed(0), *AXIAL, (0, 0, 2.5), (0.7, 0.9))})


def body(out):
    """A study that a model can be given: a scout, an arterial and a venous series of a body with two organs, and a secondary capture."""
    z, y, x = np.mgrid[0:12, 0:20, 0:24]
    ball = lambda cz, cy, cx, rz, ry, rx: ((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1
    hu = np.full(z.shape, -1000, np.int16)
    hu[ball(5.5, 9.5, 11.5, 9, 8.5, 10.5)] = 40
    hu[ball(6, 9, 7, 4, 4, 4)] = 110
    hu[ball(5, 10, 16, 3, 3, 3)] = 130
    frame = {"FrameOfReferenceUID": f"{ROOT}.9.1", "StudyDate": "20200304", "StudyTime": "101112"}
    files = {"DICOMDIR.txt": b"no DICOM"}

    def add(series, volume, description, kernel, **more):
        for n, plane in enumerate(volume):
            ds = image(plane + 1024, placed(n, (-60, -50, -300), (0, 0, 5)), n, spacing=(5, 5), thickness=5, series=series,
                       study=9, SeriesDescription=description, ConvolutionKernel=kernel, **frame, **more)
            files[f"S{series}/IM{(n * 5) % len(volume):04d}"] = data(ds)

    add(1, hu[5:6], "Topogram", "T20f", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    add(2, hu - 20, "Abdomen arterial 5.0", "B30f")
    add(3, hu, "Abdomen venous 5.0", "B30f")
    add(4, hu, "Abdomen venous 5.0 lung", "B70f")
    report = blank(EnhancedSRStorage, 1, study=9, series=5)
    report.Modality = "SR"
    files["S5/report"] = data(report)
    files["truth.nii.gz"] = truth(hu.astype(np.float32), (-60, -50, -300), *AXIAL, (0, 0, 5), (5, 5))
    save(out, "body", files)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "golden/dicom")
    folder.mkdir(parents=True, exist_ok=True)
    for case in (oblique, padding, compressed, study, phases, doubled, ramps, enhanced, body):
        case(folder)
