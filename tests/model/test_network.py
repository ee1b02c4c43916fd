import torch

from msm.model.checkpoint import Checkpoint
from msm.model.network import SoilMoistureLSTM, network_of, weights_of


def test_steps_with_a_carried_state_equal_a_sequence(network: SoilMoistureLSTM):
    x = torch.randn(20, 40, 3)
    with torch.no_grad():
        whole, (h, c) = network(x)
        state = (torch.zeros(20, 16), torch.zeros(20, 16))
        for day in range(x.shape[1]):
            y, state = network.step(x[:, day], state)
            assert torch.allclose(y, whole[:, day], atol=1e-6, rtol=0)
    assert torch.allclose(state[0], h, atol=1e-6, rtol=0)
    assert torch.allclose(state[1], c, atol=1e-6, rtol=0)


def test_a_sequence_continues_from_a_state(network: SoilMoistureLSTM):
    x = torch.randn(5, 30, 3)
    with torch.no_grad():
        whole, _ = network(x)
        _, state = network(x[:, :12])
        rest, _ = network(x[:, 12:], state)
        from_zero, _ = network(x[:, 12:])
    assert torch.allclose(rest, whole[:, 12:], atol=1e-6, rtol=0)
    assert not torch.allclose(from_zero, whole[:, 12:], atol=1e-4)


def test_the_network_is_the_equations_of_an_lstm(network: SoilMoistureLSTM):
    x = torch.randn(4, 3)
    h, c = torch.randn(4, 16), torch.randn(4, 16)
    w = network.state_dict()
    z = torch.clamp(x @ w["inlet.weight"].T + w["inlet.bias"], min=0)
    gates = z @ w["lstm.weight_ih_l0"].T + w["lstm.bias_ih_l0"]
    gates = gates + h @ w["lstm.weight_hh_l0"].T + w["lstm.bias_hh_l0"]
    i, f, g, o = gates.chunk(4, dim=1)
    c_after = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h_after = torch.sigmoid(o) * torch.tanh(c_after)
    expected = h_after @ w["head.weight"].T + w["head.bias"]
    with torch.no_grad():
        y, state = network.step(x, (h, c))
    assert torch.allclose(y, expected, atol=1e-6)
    assert torch.allclose(state[0], h_after, atol=1e-6)
    assert torch.allclose(state[1], c_after, atol=1e-6)


def test_weights_drop_in_training_only_and_once_per_pass():
    torch.manual_seed(0)
    network = SoilMoistureLSTM(3, 32, dropout=0.5)
    # Two equal cells: a mask that differed between cells or days would tell them apart.
    x = torch.randn(1, 10, 3).repeat(2, 1, 1)
    a, _ = network.train()(x)
    b, _ = network(x)
    assert torch.equal(a[0], a[1])
    assert not torch.allclose(a, b)
    dropped = network._lstm_weights()
    for weight, full in zip(dropped[:2], list(network.lstm.parameters())[:2], strict=True):
        zero = weight == 0
        assert 0.4 < zero.float().mean() < 0.6
        assert torch.allclose(weight[~zero], 2 * full[~zero])
    network.eval()
    assert torch.equal(network(x)[0], network(x)[0])


def test_weight_dropout_passes_gradients_to_the_kept_weights():
    torch.manual_seed(0)
    network = SoilMoistureLSTM(3, 8, dropout=0.5).train()
    network(torch.randn(4, 6, 3))[0].sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_outputs_share_one_memory_and_have_a_row_of_the_head_each():
    torch.manual_seed(0)
    several = SoilMoistureLSTM(3, 8, 4).eval()
    x = torch.randn(5, 30, 3)
    y, state = several(x)
    assert y.shape == (5, 30, 4)
    one = SoilMoistureLSTM(3, 8).eval()
    for output in range(4):
        head = {name: several.state_dict()[name][[output]] for name in ("head.weight", "head.bias")}
        one.load_state_dict(several.state_dict() | head)
        alone, carried = one(x)
        assert torch.allclose(alone[..., 0], y[..., output], atol=1e-6)
        assert torch.equal(carried[0], state[0])


def test_members_are_restored_from_a_checkpoint(ensemble: Checkpoint):
    members = [network_of(ensemble, number) for number in range(3)]
    assert not any(member.training for member in members)
    again = weights_of(members)
    assert again.keys() == ensemble.weights.keys()
    for name, weight in again.items():
        assert weight.tobytes() == ensemble.weights[name].tobytes()
    assert len({member.head.bias.data.numpy().tobytes() for member in members}) == 3
