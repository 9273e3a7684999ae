"""Graphs stand for the networks that they were made from."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from liveportrait import LivePortrait
from liveportrait.graph import Graph, fastest_precision, write_graph
from liveportrait.mini.renderer import SEEN_SIZE
from talkinghead.host.threads import compute_alone


@pytest.fixture(scope="module")
def renderer():
    return LivePortrait.from_pretrained("mini").renderer


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.SiLU()).eval()


@pytest.fixture(scope="module")
def graph(network, tmp_path_factory):
    file = tmp_path_factory.mktemp("graph") / "small.xml"
    write_graph(network, [torch.rand(2, 3, 8, 8)], file)
    return Graph(file)


def inputs_of(renderer, name, count):
    random = torch.Generator().manual_seed(1)
    if name == "flow":
        return renderer.flow, [torch.rand(count, renderer.flow.INPUTS, SEEN_SIZE, SEEN_SIZE, generator=random)]
    kind, painter = {"mouth": renderer.patches()[0], "eyes": renderer.patches()[1]}[name]
    features = torch.rand(count, 3 * painter.decoder.channels, kind.size // 4, kind.size // 4, generator=random)
    condition = torch.rand(count, painter.decoder.condition, kind.size, kind.size, generator=random)
    return painter.decoder, [features, condition]


@pytest.mark.parametrize("name", ["flow", "mouth", "eyes"])
@torch.no_grad()
def test_the_graphs_that_ship_are_those_of_the_weights_that_ship(renderer, name):
    network, inputs = inputs_of(renderer, name, 3)
    asked = renderer.precision
    renderer.precision = torch.float32
    try:
        assert renderer.graphs[network].suits(tuple(inputs), torch.float32)
        for mine, theirs in zip(renderer.run(network, *inputs), network(*inputs), strict=True):
            assert torch.allclose(mine, theirs, atol=2e-3)
    finally:
        renderer.precision = asked


@pytest.mark.parametrize("count", [1, 5])
@torch.no_grad()
def test_any_number_of_inputs_is_taken(graph, network, count):
    x = torch.rand(count, 3, 8, 8)
    assert torch.allclose(graph.run((x,), torch.float32), network(x), atol=1e-3)
    assert torch.allclose(graph.run((x.bfloat16(),), torch.bfloat16), network(x), atol=3e-2)


def test_training_half_precision_and_other_devices_are_left_to_the_network(graph):
    x = torch.rand(1, 3, 8, 8)
    assert not graph.suits((x,), torch.float32)  # with gradients
    with torch.no_grad():
        assert graph.suits((x,), torch.float32)
        assert not graph.suits((x,), torch.float16)
        assert not graph.suits((x.to("meta"),), torch.float32)


def test_threads_do_not_disturb_each_other(graph, network):
    pictures = [torch.rand(1, 3, 8, 8) for _ in range(16)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda x: graph.run((x,), torch.float32), pictures))
    for x, result in zip(pictures, found, strict=True):
        assert torch.allclose(result, network(x), atol=1e-3)


def test_a_graph_is_compiled_once_for_each_number_of_threads(graph, network):
    before = torch.get_num_threads()
    x = torch.rand(1, 3, 8, 8)
    with ThreadPoolExecutor(1, initializer=compute_alone) as alone:
        assert alone.submit(torch.get_num_threads).result() == 1
        compiled = alone.submit(graph.compile, torch.float32).result()
        assert alone.submit(graph.compile, torch.float32).result() is compiled
        assert torch.allclose(alone.submit(graph.run, (x,), torch.float32).result(), network(x), atol=1e-3)
    assert (graph.compile(torch.float32) is compiled) == (before == 1)
    assert torch.get_num_threads() == before


def test_the_embedded_model_computes_in_what_is_fastest(renderer):
    assert renderer.precision == fastest_precision()


@pytest.mark.parametrize("allowed", ["AVX2", "avx512_core_vnni"])
def test_bfloat16_is_not_used_where_its_instructions_are_forbidden(monkeypatch, allowed):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", allowed)
    assert fastest_precision() == torch.float32
