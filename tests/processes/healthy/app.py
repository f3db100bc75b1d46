"""What gunicorn and uWSGI serve: their own environment and that of a child."""
import os


def application(request, start):
    os.environ["ASKED"] = "1"
    start("200 OK", [])
    child = os.popen("printenv STABLE ADDED ASKED UNSET").read().split()
    return [f"{os.environ.get('STABLE')} {os.environ.get('ADDED')}; child: {' '.join(child)}\n".encode()]
