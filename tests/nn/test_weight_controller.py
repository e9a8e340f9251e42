import pytest
import torch

from limbeck.losses.dkd import dkd_rows
from limbeck.nn.weight_controller import WeightController

SETTINGS = {"alpha": 1.5, "beta": 0.5, "update": "min", "granularity": "pixel", "layers": 3, "hidden": 16}


def build(classes=4, confidence=False, **settings):
    torch.manual_seed(0)
    return WeightController(classes, confidence=confidence, **(SETTINGS | settings))


@pytest.fixture
def pixels():
    """Logits of student and teacher, labels and weights; a fifth of the pixels does not count, some count double."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = 2 * torch.randn(2, 2, 4, 8, 9, generator=generator)
    labels = torch.randint(0, 4, (2, 8, 9), generator=generator)
    chance = torch.rand(2, 8, 9, generator=generator)
    labels[chance < 0.2] = 255
    weights = (chance >= 0.2).float() + (chance > 0.7)
    return student, teacher, labels, weights


def loss_of(controller, pixels):
    student, teacher, labels, weights = pixels
    alpha, beta = controller(student, labels, weights)
    return (weights * dkd_rows(student, teacher, labels, alpha, beta)).sum() / weights.sum()


@pytest.mark.parametrize("granularity", ["pixel", "class"])
@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_training_starts_as_plain_dkd(granularity, layers, pixels):
    student, _, labels, weights = pixels
    alpha, beta = build(granularity=granularity, layers=layers)(student, labels, weights)
    assert beta.shape == (student.shape if granularity == "class" else labels.shape)
    torch.testing.assert_close(alpha, torch.full_like(alpha, 1.5))
    torch.testing.assert_close(beta, torch.full_like(beta, 0.5))


@pytest.mark.parametrize("confidence", [False, True])
@pytest.mark.parametrize("granularity", ["pixel", "class"])
@pytest.mark.parametrize("update", ["min", "max"])
def test_means_stay_and_the_loss_goes_where_it_should(update, granularity, confidence, pixels):
    student, _, labels, weights = pixels
    controller = build(update=update, granularity=granularity, confidence=confidence)
    optimizer = torch.optim.Adam(controller.parameters(), lr=0.02)
    first = loss_of(controller, pixels).item()
    for _ in range(30):
        optimizer.zero_grad()
        loss_of(controller, pixels).backward()
        optimizer.step()
        alpha, beta = controller(student, labels, weights)
        own = torch.nn.functional.one_hot(labels.where(weights > 0, 0), 4).movedim(-1, 1).bool()
        over = weights if granularity == "pixel" else (weights[:, None] * ~own)
        assert ((alpha * weights).sum() / weights.sum()).item() == pytest.approx(1.5, rel=1e-5)
        assert ((beta * over).sum() / over.sum()).item() == pytest.approx(0.5, rel=1e-5)
        if granularity == "class":
            torch.testing.assert_close(beta[own], torch.full_like(beta[own], 0.5))
    counted = alpha[weights > 0]
    assert counted.max() / counted.min() > 1.2
    assert counted.max() / counted.min() <= 16.001
    last = loss_of(controller, pixels).item()
    assert (last < 0.99 * first) if update == "min" else (last > 1.01 * first)


def test_a_reversed_gradient_changes_the_sign_alone(pixels):
    gradients = []
    for update in ("min", "max"):
        controller = build(update=update)
        loss_of(controller, pixels).backward()
        gradients.append([p.grad for p in controller.parameters()])
    assert any(grad.any() for grad in gradients[0])
    torch.testing.assert_close(gradients[0], [-grad for grad in gradients[1]])


def test_free_weights_collapse_and_ours_go_on_teaching():
    """Both parts of DKD are never negative: whoever may choose their weights freely chooses 0."""

    def train(weigh, parameters):
        generator = torch.Generator().manual_seed(0)
        teacher = 3 * torch.randn(1, 4, 12, 12, generator=generator)
        labels = teacher.argmax(1)
        student = torch.zeros_like(teacher, requires_grad=True)
        optimizer = torch.optim.Adam([{"params": parameters, "lr": 0.1}, {"params": [student], "lr": 0.02}])
        for _ in range(120):
            alpha, beta = weigh(student, labels)
            optimizer.zero_grad()
            dkd_rows(student, teacher, labels, alpha, beta).mean().backward()
            optimizer.step()
        return alpha.mean().item(), dkd_rows(student.detach(), teacher, labels).mean().item()

    free = torch.nn.Sequential(torch.nn.Conv2d(4, 16, 1), torch.nn.ReLU(), torch.nn.Conv2d(16, 2, 1))
    controller = build(alpha=1.0, beta=1.0)
    free_mean, free_left = train(lambda s, _: free(s.detach().softmax(1)).sigmoid().unbind(1), list(free.parameters()))
    our_mean, our_left = train(lambda s, y: controller(s, y, torch.ones(y.shape)), list(controller.parameters()))
    assert free_mean < 0.01
    assert our_mean == pytest.approx(1.0, rel=1e-5)
    assert our_left < 0.5 * free_left


def test_without_parameters_doubt_decides(pixels):
    student, _, labels, weights = pixels
    controller = build(update="none")
    alpha, beta = controller(student, labels, weights)
    doubt = 1 - student.softmax(1).gather(1, labels.where(weights > 0, 0)[:, None])[:, 0]
    expected = 0.5 * doubt / ((doubt * weights).sum() / weights.sum())
    assert list(controller.parameters()) == []
    torch.testing.assert_close(beta, expected)
    torch.testing.assert_close(alpha, torch.full_like(alpha, 1.5))
    sure = torch.zeros_like(student).scatter(1, labels.where(weights > 0, 0)[:, None], 1000.0)
    torch.testing.assert_close(controller(sure, labels, weights)[1], torch.full_like(beta, 0.5))


@pytest.mark.parametrize("update", ["min", "max", "none"])
def test_no_gradient_reaches_the_student(update, pixels):
    student, _, labels, weights = pixels
    alpha, beta = build(update=update)(student.requires_grad_(), labels, weights)
    if update != "none":
        (alpha.square() + beta).sum().backward()
    assert student.grad is None
    assert alpha.requires_grad == beta.requires_grad == (update != "none")


@pytest.mark.parametrize(("update", "granularity"), [("min", "pixel"), ("min", "class"), ("none", "pixel")])
def test_a_batch_without_a_label_gives_finite_weights(update, granularity, pixels):
    student, _, labels, weights = pixels
    answers = build(update=update, granularity=granularity)(student, torch.full_like(labels, 255), 0 * weights)
    assert all(torch.isfinite(answer).all() for answer in answers)


def test_it_sees_confidence_and_entropy(pixels):
    student, _, labels, weights = pixels
    controller = build(confidence=True)
    seen = []
    controller.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    controller(student, labels, weights)
    probs = student.softmax(1)
    torch.testing.assert_close(seen[0][:, :4], probs.flatten(2))
    label = labels.where(weights > 0, 0)[:, None]
    torch.testing.assert_close(seen[0][:, 4:5], probs.gather(1, label).flatten(2))
    entropy = -(probs * probs.log()).sum(1, keepdim=True) / torch.tensor(4.0).log()
    torch.testing.assert_close(seen[0][:, 5:], entropy.flatten(2))


def test_bfloat16_logits_under_autocast_give_float32_weights(pixels):
    student, _, labels, weights = pixels
    controller = build()
    torch.nn.init.normal_(controller.mlp.layers[-1].weight)
    with torch.autocast("cpu", torch.bfloat16):
        alpha, beta = controller(student.bfloat16(), labels, weights)
    assert alpha.dtype == beta.dtype == torch.float32
    assert ((alpha * weights).sum() / weights.sum()).item() == pytest.approx(1.5, rel=1e-5)
