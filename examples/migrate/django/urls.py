from django.urls import path

import views

urlpatterns = [
    path("stream", views.stream),
    path("time", views.server_time),
    path("notice", views.notice),
    path("events", views.events),
]
