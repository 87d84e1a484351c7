"""Learning rates over time: PyTorch's schedules. step() once an epoch (or once an update, as the Trainer is told)."""


class LRScheduler:
    """Base: lr of each group = factor(step) * its initial lr."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.last_epoch = -1
        self.step()

    def factor(self, step):
        """What the initial learning rate is multiplied with after `step` steps."""
        raise NotImplementedError

    def step(self):
        """Go on by one."""
        self.last_epoch += 1
        for group, base in zip(self.optimizer.param_groups, self.base_lrs):
            group["lr"] = base * self.factor(self.last_epoch)

    def get_last_lr(self):
        """The learning rates in use."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self):
        """Position and initial learning rates."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state):
        """Take over what state_dict() gave."""
        self.last_epoch, self.base_lrs = int(state["last_epoch"]), list(state["base_lrs"])
        for group, base in zip(self.optimizer.param_groups, self.base_lrs):
            group["lr"] = base * self.factor(self.last_epoch)


class LambdaLR(LRScheduler):
    """lr = initial * lr_lambda(step)"""

    def __init__(self, optimizer, lr_lambda):
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def factor(self, step):
        return self.lr_lambda(step)


class StepLR(LRScheduler):
    """lr = initial * gamma ** floor(step / step_size)"""

    def __init__(self, optimizer, step_size, gamma=0.1):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, step):
        return self.gamma ** (step // self.step_size)


class ExponentialLR(LRScheduler):
    """lr = initial * gamma ** step"""

    def __init__(self, optimizer, gamma):
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, step):
        return self.gamma ** step
