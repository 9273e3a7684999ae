"""The application of one replica of Ray Serve, with stand-ins for the networks."""


def make_app():
    from running import stand_ins

    from talkinghead.server.app import create_app
    from talkinghead.server.options import ServerOptions

    return create_app(ServerOptions(max_avatars=8), stand_ins(), jobs=False)
