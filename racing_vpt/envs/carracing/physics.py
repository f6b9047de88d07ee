"""One frame of the car's dynamics: gymnasium's `Car.step` in less Python, bit-identical.

The arithmetic is that of `gymnasium.envs.box2d.car_dynamics.Car.step` (1.4.0), in the same order. Saved are numpy calls
on single numbers (sign, square root), every second call into Box2D (a wheel's forward vector is its side vector
rotated), and the loop over tiles (all have friction 1).
"""

from math import copysign, sqrt

from gymnasium.envs.box2d.car_dynamics import ENGINE_POWER, FRICTION_LIMIT, SIZE, WHEEL_MOMENT_OF_INERTIA, Car

GRASS_FRICTION = FRICTION_LIMIT * 0.6
STIFFNESS = 205000 * SIZE * SIZE
BRAKE_FORCE = 15  # radians per second
LOCKING_BRAKE = 0.9
MAX_GAS_RISE = 0.1  # per frame
MAX_SKID_POINTS = 30


def set_controls(car: Car, steer: float, gas: float, brake: float) -> None:
    """Apply controls to the wheels.

    Args:
        car: car of the stock environment.
        steer: target angle of the front wheels in radians, positive to the left.
        gas: in [0, 1]; rises gradually.
        brake: in [0, 1]; locks the wheels from 0.9.
    """
    front_left, front_right, *rear = car.wheels
    front_left.steer = front_right.steer = steer
    gas = min(max(gas, 0.0), 1.0)
    for wheel in rear:
        wheel.gas += min(gas - wheel.gas, MAX_GAS_RISE)
    for wheel in car.wheels:
        wheel.brake = brake


def step_car(car: Car, dt: float) -> None:
    """Steer, drive and brake each wheel, and apply the forces of the tyres.

    Args:
        car: car of the stock environment, changed in place.
        dt: seconds.
    """
    for wheel in car.wheels:
        joint = wheel.joint
        error = wheel.steer - joint.angle
        joint.motorSpeed = copysign(min(50.0 * abs(error), 3.0), error)

        grass = not wheel.tiles
        friction_limit = GRASS_FRICTION if grass else FRICTION_LIMIT

        side_x, side_y = wheel.GetWorldVector((1, 0))
        velocity_x, velocity_y = wheel.linearVelocity
        forward_speed = -side_y * velocity_x + side_x * velocity_y
        side_speed = side_x * velocity_x + side_y * velocity_y

        omega, gas, brake = wheel.omega, wheel.gas, wheel.brake
        omega += dt * ENGINE_POWER * gas / WHEEL_MOMENT_OF_INERTIA / (abs(omega) + 5.0)
        car.fuel_spent += dt * ENGINE_POWER * gas
        if brake >= LOCKING_BRAKE:
            omega = 0.0
        elif brake > 0:
            omega -= copysign(min(BRAKE_FORCE * brake, abs(omega)), omega)
        wheel.phase += omega * dt

        radius = wheel.wheel_rad
        forward_force = (-forward_speed + omega * radius) * STIFFNESS
        side_force = -side_speed * STIFFNESS
        force = sqrt(forward_force * forward_force + side_force * side_force)
        _leave_skid_mark(car, wheel, force > 2.0 * friction_limit, grass)
        if force > friction_limit:
            forward_force = forward_force / force * friction_limit
            side_force = side_force / force * friction_limit

        wheel.omega = omega - dt * forward_force * radius / WHEEL_MOMENT_OF_INERTIA
        wheel.ApplyForceToCenter(
            (side_force * side_x + forward_force * -side_y, side_force * side_y + forward_force * side_x), True
        )


def _leave_skid_mark(car: Car, wheel, skids: bool, grass: bool) -> None:  # type: ignore[no-untyped-def]
    """Start, continue or end the skid mark of a wheel, which the large pictures show."""
    if not skids:
        wheel.skid_start = wheel.skid_particle = None
        return
    particle = wheel.skid_particle
    if particle and particle.grass == grass and len(particle.poly) < MAX_SKID_POINTS:
        particle.poly.append((wheel.position[0], wheel.position[1]))
    elif wheel.skid_start is None:
        wheel.skid_start = wheel.position
    else:
        wheel.skid_particle = car._create_particle(wheel.skid_start, wheel.position, grass)
        wheel.skid_start = None
