"""The compiled schemas that are committed are those of the schemas that are committed."""

from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

from hushbell.wire.pb import gorush_pb2, layers_pb2, push_pb2, services_pb2, waku_pb2

ROOT = Path(__file__).parents[2]
FOLDER = "hushbell/wire/pb"


@pytest.mark.parametrize(
    "compiled",
    [one.DESCRIPTOR for one in (gorush_pb2, layers_pb2, push_pb2, services_pb2, waku_pb2)],
    ids=lambda one: one.name,
)
def test_a_schema_was_compiled_after_its_last_change(compiled: FileDescriptor, tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc")
    schemas = ROOT / "src/hushbell/wire/schemas"
    out = tmp_path / "set"

    googles = Path(protoc.__file__).parent / "_proto"
    arguments = [f"-I{FOLDER}={schemas}", f"-I{googles}", f"--descriptor_set_out={out}", compiled.name]
    assert protoc.main(["protoc", *arguments]) == 0

    (written,) = FileDescriptorSet.FromString(out.read_bytes()).file
    committed = FileDescriptorProto.FromString(compiled.serialized_pb)
    for message in written.message_type:
        _forget_json_names(message)
    assert written == committed


def _forget_json_names(message: DescriptorProto) -> None:
    """Descriptors inside generated code leave them out, because they follow from the names."""
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        _forget_json_names(nested)
