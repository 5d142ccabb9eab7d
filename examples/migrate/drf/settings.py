SECRET_KEY = "no secret: nothing here is signed"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "urls"
USE_TZ = True
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],  # HasToken is all
    "UNAUTHENTICATED_USER": None,
}
